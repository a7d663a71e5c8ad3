//! Text that comes in pieces.
//!
//! Most agents send what is new; some send the text so far, again and again, and in plain strings
//! nothing says which. Where each piece begins with all of the one before, they are the text so far:
//! pieces that are new do not do that by chance, unless there are only two short ones.

/// The fewest bytes of a first piece whose repetition in the second one is no chance.
const NO_CHANCE: usize = 4;

/// The pieces that came so far.
#[derive(Debug)]
pub(super) struct Pieces {
    /// The last piece while each piece begins with the one before, otherwise all of them joined.
    text: String,
    growth: Option<Growth>,
}

/// The pieces in a text, while each begins with the one before.
#[derive(Debug, Default)]
struct Growth {
    lengths: Vec<usize>,
    joined_length: usize,
    /// How many pieces are longer than the one before.
    steps: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { text: String::new(), growth: Some(Growth::default()) }
    }
}

impl Pieces {
    /// Takes the next piece in.
    pub(super) fn add(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        match &mut self.growth {
            Some(growth) if piece.starts_with(&self.text) => {
                growth.add(piece.len());
                self.text.clear();
                self.text.push_str(piece);
            }
            Some(growth) => {
                self.text = growth.joined(&self.text);
                self.text.push_str(piece);
                self.growth = None;
            }
            None => self.text.push_str(piece),
        }
    }

    /// How many bytes the text has.
    pub(super) fn len(&self) -> usize {
        let joined = self.growth.as_ref().filter(|growth| !growth.is_so_far());
        joined.map_or(self.text.len(), |growth| growth.joined_length)
    }

    /// The text, of pieces that are new unless they show otherwise.
    pub(super) fn into_text(self) -> String {
        match &self.growth {
            Some(growth) if !growth.is_so_far() => growth.joined(&self.text),
            _ => self.text,
        }
    }

    /// The text, of pieces each of which may be all of it.
    pub(super) fn into_whole(self) -> String {
        self.text
    }
}

impl Growth {
    fn add(&mut self, length: usize) {
        self.steps += usize::from(self.lengths.last().is_some_and(|before| *before < length));
        self.joined_length += length;
        self.lengths.push(length);
    }

    /// Whether the pieces are texts so far.
    fn is_so_far(&self) -> bool {
        match self.steps {
            0 => false,
            1 => self.lengths.first().is_some_and(|first| *first >= NO_CHANCE),
            _ => true,
        }
    }

    /// All pieces one after the other, the last of which is `last`.
    fn joined(&self, last: &str) -> String {
        self.lengths.iter().filter_map(|length| last.get(..*length)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&str]) -> String {
        let mut text = Pieces::default();
        pieces.iter().for_each(|piece| text.add(piece));
        text.into_text()
    }

    #[test]
    fn new_pieces_are_joined() {
        assert_eq!(text(&["Order ", "17 ", "", "has shipped."]), "Order 17 has shipped.");
        assert_eq!(text(&["ha", "ha", "ha"]), "hahaha");
        assert_eq!(text(&["ha", "ha", "ha!"]), "hahaha!");
        assert_eq!(text(&["\n", "\n\n", "x"]), "\n\n\nx");
        assert_eq!(text(&["1", "17"]), "117", "two short pieces may be alike by chance");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn of_texts_so_far_the_last_one_is_all() {
        assert_eq!(text(&["Order ", "Order 17", "Order 17 has shipped."]), "Order 17 has shipped.");
        assert_eq!(text(&["", "I", "It", "It", "It is"]), "It is");
        assert_eq!(text(&["The order", "The order has shipped."]), "The order has shipped.");
    }

    #[test]
    fn a_text_so_far_is_kept_once() {
        let mut pieces = Pieces::default();
        let whole = "x".repeat(1_000);
        (1..=1_000).for_each(|end| pieces.add(&whole[..end]));
        assert_eq!(pieces.len(), 1_000);
    }
}
