create table a (id int primary key);
create table skipped_b (id int primary key, mood text);
-- stream
begin; insert into skipped_b values (1, 'x'); insert into a values (1); update skipped_b set mood = 'y';
insert into a values (2); commit;
insert into skipped_b values (2, 'z');
