"""What has to be right around Nightshelf: an area a file, a finding for each thing looked at."""
