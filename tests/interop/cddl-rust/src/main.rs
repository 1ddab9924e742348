//! Reads the file of rules named by its argument, then lines `rule hex`; answers `true` or `false` for each.

use std::io::{self, BufRead};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

fn main() {
    let path = std::env::args().nth(1).expect("a file of rules");
    let rules = std::fs::read_to_string(path).expect("readable");
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (rule, hex) = line.split_once(' ').expect("rule and hex");
        let schema = format!("start = {rule}\n{rules}");
        println!("{}", cddl::validate_cbor_from_slice(&schema, &bytes(hex), None).is_ok());
    }
}
