//! The compiler from outside: text in, plan or findings out.

#[cfg(test)]
mod errors;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod support;
