//! Finds any of many texts in one pass, a byte at a time (A. V. Aho, M. J. Corasick, Efficient String Matching, 1975). The
//! texts may be secret: they lie in one buffer, which never grows and is wiped.

use std::collections::VecDeque;

use zeroize::{Zeroize, Zeroizing};

/// A text to be found, and whose it is.
pub(super) struct Pattern {
    pub(super) owner: usize,
    pub(super) text: Zeroizing<Vec<u8>>,
}

/// A match that ends where the automaton stands: the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) owner: usize,
    pub(super) length: usize,
}

/// Where in the texts one is. Zero is the begin.
pub(super) type State = u32;
pub(super) const BEGIN: State = 0;

/// A place in the tree of the texts.
struct Node {
    byte: u8,
    child: State,
    sibling: State,
    /// The longest other place whose text ends this one's.
    fail: State,
    depth: u32,
    found: Option<Match>,
}

pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// Where each byte leads from the begin: nearly all bytes of nearly all streams.
    first: Zeroizing<Vec<State>>,
}

impl Drop for Automaton {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.byte.zeroize());
    }
}

impl Automaton {
    /// Of texts that are not empty. Of two that are the same, the first counts.
    pub(super) fn new(patterns: &[Pattern]) -> Self {
        let places = 1 + patterns.iter().map(|pattern| pattern.text.len()).sum::<usize>();
        let mut tree = Self { nodes: Vec::with_capacity(places), first: Zeroizing::new(vec![BEGIN; 256]) };
        tree.add(0, 0);
        for pattern in patterns {
            let mut at = BEGIN;
            for byte in pattern.text.iter() {
                at = tree.child(at, *byte).unwrap_or_else(|| tree.grow(at, *byte));
            }
            let found = Match { owner: pattern.owner, length: pattern.text.len() };
            if let Some(node) = tree.node_mut(at).filter(|_| at != BEGIN) {
                node.found.get_or_insert(found);
            }
        }
        tree.link();
        tree
    }

    fn node(&self, at: State) -> Option<&Node> {
        self.nodes.get(usize::try_from(at).ok()?)
    }

    fn node_mut(&mut self, at: State) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(at).ok()?)
    }

    fn add(&mut self, byte: u8, depth: u32) -> State {
        // INVARIANT: a few hundred credentials of 8 KiB each, in a few dozen spellings, are fewer than 2^32 places.
        let at = State::try_from(self.nodes.len()).unwrap_or(BEGIN);
        self.nodes.push(Node { byte, child: BEGIN, sibling: BEGIN, fail: BEGIN, depth, found: None });
        at
    }

    fn grow(&mut self, parent: State, byte: u8) -> State {
        let depth = self.depth(parent);
        let new = self.add(byte, u32::try_from(depth + 1).unwrap_or(u32::MAX));
        let elder = self.node_mut(parent).map_or(BEGIN, |node| std::mem::replace(&mut node.child, new));
        if let Some(node) = self.node_mut(new) {
            node.sibling = elder;
        }
        new
    }

    fn children(&self, parent: State) -> impl Iterator<Item = (State, &Node)> {
        let follow = |at: State| (at != BEGIN).then(|| self.node(at).map(|node| (at, node))).flatten();
        let first = self.node(parent).and_then(|node| follow(node.child));
        std::iter::successors(first, move |(_, node)| follow(node.sibling))
    }

    fn child(&self, parent: State, byte: u8) -> Option<State> {
        self.children(parent).find(|(_, node)| node.byte == byte).map(|(at, _)| at)
    }

    /// Adds the ways back, from the begin outwards.
    fn link(&mut self) {
        let outward =
            |tree: &Self, at| tree.children(at).map(|(at, node)| (at, node.byte)).collect::<Vec<_>>();
        let mut queue = VecDeque::new();
        for (at, byte) in outward(self, BEGIN) {
            if let Some(entry) = self.first.get_mut(usize::from(byte)) {
                *entry = at;
            }
            queue.push_back(at);
        }
        while let Some(parent) = queue.pop_front() {
            for (at, byte) in outward(self, parent) {
                let fail = self.step(self.node(parent).map_or(BEGIN, |node| node.fail), byte);
                let shorter = self.found(fail);
                if let Some(node) = self.node_mut(at) {
                    node.fail = fail;
                    node.found = node.found.or(shorter);
                }
                queue.push_back(at);
            }
        }
    }

    /// Where `byte` leads.
    pub(super) fn step(&self, mut state: State, byte: u8) -> State {
        while state != BEGIN {
            if let Some(next) = self.child(state, byte) {
                return next;
            }
            state = self.node(state).map_or(BEGIN, |node| node.fail);
        }
        self.first.get(usize::from(byte)).copied().unwrap_or(BEGIN)
    }

    /// The longest text that ends here.
    pub(super) fn found(&self, state: State) -> Option<Match> {
        self.node(state).and_then(|node| node.found)
    }

    /// How many of the last bytes may yet become a text.
    pub(super) fn depth(&self, state: State) -> usize {
        self.node(state).and_then(|node| usize::try_from(node.depth).ok()).unwrap_or_default()
    }

    /// The same place, without the bytes that no text goes on from.
    pub(super) fn settle(&self, mut state: State) -> State {
        while let Some(node) = self.node(state).filter(|node| state != BEGIN && node.child == BEGIN) {
            state = node.fail;
        }
        state
    }

    /// How many bytes from the front no text begins with.
    pub(super) fn skip(&self, bytes: &[u8]) -> usize {
        let begins = |byte: &u8| self.first.get(usize::from(*byte)).is_some_and(|next| *next != BEGIN);
        bytes.iter().position(begins).unwrap_or(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn automaton(texts: &[&[u8]]) -> Automaton {
        let pattern = |(owner, text): (usize, &&[u8])| Pattern { owner, text: Zeroizing::new(text.to_vec()) };
        Automaton::new(&texts.iter().enumerate().map(pattern).collect::<Vec<_>>())
    }

    fn ends(automaton: &Automaton, text: &[u8]) -> Vec<(usize, usize)> {
        let mut state = BEGIN;
        let mut found = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            state = automaton.step(state, *byte);
            found.extend(automaton.found(state).map(|found| (at + 1, found.length)));
        }
        found
    }

    #[test]
    fn the_example_of_the_paper_is_found() {
        let automaton = automaton(&[b"he", b"she", b"his", b"hers"]);
        assert_eq!(ends(&automaton, b"ushers"), [(4, 3), (6, 4)]);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_there(
            texts in prop::collection::vec("[ab]{1,5}", 1..6), within in "[abc]{0,60}",
        ) {
            let bytes: Vec<_> = texts.iter().map(|text| text.as_bytes()).collect();
            let naive: Vec<_> = (1..=within.len()).filter_map(|end| {
                let longest = texts.iter().filter(|text| within[..end].ends_with(&***text)).map(String::len).max();
                longest.map(|length| (end, length))
            }).collect();
            prop_assert_eq!(ends(&automaton(&bytes), within.as_bytes()), naive);
        }
    }
}
