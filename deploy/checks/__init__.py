"""What deploy/check.py holds the files for deployment to."""
