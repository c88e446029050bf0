create table a (id int primary key);
-- stream
select pg_replication_origin_create('elsewhere');
select pg_replication_origin_session_setup('elsewhere');
begin; select pg_replication_origin_xact_setup('0/AB', '2001-02-03 04:05:06+00'); insert into a values (1); commit;
select pg_replication_origin_session_reset();
insert into a values (2);
select pg_replication_origin_drop('elsewhere');
