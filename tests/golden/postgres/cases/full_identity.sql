create table accounts (id int primary key, owner text, balance numeric);
alter table accounts replica identity full;
-- stream
insert into accounts values (1, 'ann', 5), (2, null, 7.0);
update accounts set balance = 6 where id = 1;
update accounts set owner = null where id = 1;
update accounts set id = 20 where id = 2;
delete from accounts where id = 1;
