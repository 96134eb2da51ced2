"""Jobs over data and questions of people who mean harm, or write numbers and words as they do at home."""
