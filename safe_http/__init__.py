"""HTTP with strangers: `public` reaches addresses that they name, `bodies` reads what they answer, `serving` and
`connections` let them in. Nothing is imported here, so that who needs one half does not load the other."""
