"""What other systems wrote, read as attempts and drafts. One file per format; pure: bytes in, records out."""
