"""What has been published about the widths that prunegap measures."""
