create table a (id int primary key);
-- stream
begin; insert into a values (1); select pg_logical_emit_message(true, 'app.audit', 'inside'); insert into a values (2);
select pg_logical_emit_message(true, 'other', 'nobody asked'); insert into a values (3); commit;
select pg_logical_emit_message(false, 'app.audit', convert_to(E'alone \x01', 'utf8'));
select pg_logical_emit_message(false, 'other', 'alone, too');
begin; select pg_logical_emit_message(false, 'app.audit', 'survives a rollback');
select pg_logical_emit_message(true, 'app.audit', 'does not'); rollback;
-- A message alone is flushed with the next commit.
insert into a values (4);
