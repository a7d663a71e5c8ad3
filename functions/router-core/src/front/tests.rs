mod house;
mod people;
mod supervisors;
mod turns;
