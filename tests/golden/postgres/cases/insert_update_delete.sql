create table orders (id bigint primary key, status text, total numeric(12,2));
-- stream
insert into orders values (1, 'new', 10.50), (2, null, 0);
update orders set status = 'paid' where id = 1;
update orders set status = status;
delete from orders where id = 2;
begin; insert into orders values (3, 'x', 1); savepoint a; insert into orders values (4, 'undone', 1); rollback to a;
insert into orders values (5, 'y', 1); commit;
begin; insert into orders values (6, 'undone', 1); rollback;
