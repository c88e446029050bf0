create table users (id int primary key, email text not null);
create unique index users_email on users (email);
alter table users replica identity using index users_email;
drop index users_email;
-- stream
insert into users values (1, 'a@x');
