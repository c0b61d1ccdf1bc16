//! What a WebSocket's client says, in the clear: its frames are masked (RFC 6455, section 5.3), so that a placeholder in them
//! is found only after the mask is taken off. The frames themselves go on as they are.

/// Reads a stream of a client's frames.
#[derive(Debug, Default)]
pub(crate) struct Unmask {
    /// The bytes of a frame's head that have come.
    head: Vec<u8>,
    mask: [u8; 4],
    /// Bytes of the payload that have come, and how many are to come.
    at: u64,
    left: u64,
}

impl Unmask {
    /// The payload in the next bytes. `None`: they are no frames of a client's, and must not go on.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut clear = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.left > 0 {
                let mask = self.mask.get((self.at % 4) as usize)?;
                clear.push(byte ^ mask);
                (self.at, self.left) = (self.at + 1, self.left - 1);
                continue;
            }
            self.head.push(*byte);
            let Some(second) = self.head.get(1) else { continue };
            // Every frame of a client's is masked (section 5.1).
            if second & 0x80 == 0 {
                return None;
            }
            let extended = match second & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            };
            if self.head.len() < 2 + extended + 4 {
                continue;
            }
            let (length, mask) = self.head.get(2..)?.split_at_checked(extended)?;
            let number = length.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            self.mask = mask.try_into().ok()?;
            self.left = if extended == 0 { u64::from(second & 0x7f) } else { number };
            self.at = 0;
            self.head.clear();
        }
        Some(clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![0x81];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    #[test]
    fn what_a_client_says_is_read_however_it_is_cut() {
        let long = vec![b'x'; 300];
        let stream =
            [frame(b"hello ", [1, 2, 3, 4]), frame(b"", [9; 4]), frame(&long, [7, 0, 255, 1])].concat();
        let expected = [&b"hello "[..], &long].concat();
        for size in [1, 2, 3, 7, stream.len()] {
            let mut unmask = Unmask::default();
            let clear: Vec<u8> = stream.chunks(size).flat_map(|chunk| unmask.push(chunk).unwrap()).collect();
            assert_eq!(clear, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_without_a_mask_is_none_of_a_clients() {
        assert_eq!(Unmask::default().push(&[0x81, 0x02, b'h', b'i']), None);
    }
}
