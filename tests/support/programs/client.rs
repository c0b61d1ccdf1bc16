//! A client as anybody writes one, with the standard library alone: a request over HTTP, and a connection of which one
//! direction ends first.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
fn main() {
    let mut one = TcpStream::connect("api.example.com:80").unwrap();
    one.write_all(b"GET /rust HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    one.read_to_string(&mut text).unwrap();
    println!("{}", text.lines().next().unwrap().to_lowercase());
    let mut other = TcpStream::connect("www.example.com:7000").unwrap();
    other.write_all(b"back").unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).unwrap();
    println!("{text}");
}
