"""webcom.mobi: XML over HTTP."""
