-- settings: binlog_checksum=NONE
create table t (id int primary key);
-- stream
insert into t values (1);
set global binlog_checksum = crc32;
insert into t values (2);
set global binlog_checksum = none;
insert into t values (3);
