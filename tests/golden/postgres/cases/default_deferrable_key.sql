create table seats (id int primary key deferrable, name text);
-- stream
insert into seats values (1, 'a');
