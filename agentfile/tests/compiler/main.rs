//! The compiler from outside: text in, plan or findings out.

#[cfg(test)]
mod errors;
#[cfg(test)]
mod host;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod manuals;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod network;
#[cfg(test)]
mod permits;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod skills;
#[cfg(test)]
mod support;
#[cfg(test)]
mod toolsets;
#[cfg(test)]
mod views;
