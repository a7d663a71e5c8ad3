mod house;
mod people;
mod splits;
mod supervisors;
mod turns;
