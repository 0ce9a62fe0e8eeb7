"""What producer and worker share: specs, tables, the job protocol, the bell, reports."""
