//! The library as C and C++ see it: programs are compiled against its headers and run with it.
//!
//! They need a C and a C++ compiler and `nm`; `CC` and `CXX` name others than `cc` and `c++`.
#![cfg(target_os = "linux")]

mod arguments;
mod compile;
mod header;
mod programs;
mod reference;
mod targets;
