//! The built-in model and its little world.

pub mod world;
