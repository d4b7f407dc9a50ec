-- What the source needs once: rights for the user that MARIADB_USER made.
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR, SLAVE MONITOR ON *.* TO rowtide@'%';
