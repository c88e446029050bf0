create table users (id int primary key, email text not null, name text);
create unique index users_email on users (email);
alter table users replica identity using index users_email;
-- stream
insert into users values (1, 'a@x', 'Ann');
update users set name = 'Anna' where id = 1;
update users set id = 7 where id = 1;
update users set email = 'b@x' where id = 7;
delete from users;
