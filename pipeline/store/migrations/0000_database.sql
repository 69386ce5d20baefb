-- The database that holds everything of Spanfold.
CREATE DATABASE IF NOT EXISTS {database} {on_cluster}
