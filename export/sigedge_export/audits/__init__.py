"""What the audit looks at, one file for each kind of artefact or question."""
