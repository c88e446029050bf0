-- servers: mariadb
-- settings: log_bin_compress=ON log_bin_compress_min_len=64
-- Compressed rows and queries.
create table t (id int primary key, v varchar(4000));
-- stream
insert into t values (1, repeat('a', 4000)), (2, repeat('c', 300)), (3, repeat('b', 4000));
update t set v = concat(repeat('u', 200), id) where id < 3;
delete from t;
insert into t values (4, 'below the limit');
create table u (
  id int primary key,
  a_column_with_a_long_name int,
  b_column_with_a_long_name int,
  c_column_with_a_long_name int,
  d_column_with_a_long_name int
);
