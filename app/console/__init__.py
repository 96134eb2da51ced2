"""The console: pages for people, beside the API in its process (NiceGUI). They do what the reader's key may."""

PATH = "/console"
