//! Installs what is of the ecosystem, beside the binary that is its argument, and says where: the folder for `PYTHONPATH`, and the one with
//! `node_modules`. For CI, whose ordinary user cannot.

use agentrc_test_support::sdk;

fn main() {
    let agentrc = std::env::args().nth(1).expect("the binary under test");
    println!("{}\n{}", sdk::python(&agentrc).display(), sdk::node(&agentrc).display());
}
