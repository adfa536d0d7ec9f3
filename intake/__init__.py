"""Where findings come from: a file or stdin now, queues later. All of them start incidents through `intake.start`."""
