//! A text as a point: texts that share many letter sequences lie in much the same direction.
//!
//! Each three letters that follow one another are hashed to one of the point's coordinates (feature
//! hashing; Weinberger et al., 2009). No model is needed, and it is good enough to find a passage.

/// How many coordinates a point has.
const DIMENSIONS: usize = 128;

/// How many letters are hashed together.
const GRAM: usize = 3;

/// A text's direction, of length one.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Where `text` lies.
    pub fn of(text: &str) -> Self {
        let mut sums = vec![0.0; DIMENSIONS];
        for gram in letters(text).windows(GRAM) {
            let hash = hash(gram.iter().flat_map(|letter| u32::from(*letter).to_le_bytes()));
            // A sign of its own for each sequence lets those cancel that fall together by chance.
            sums[hash as usize % DIMENSIONS] += if hash >> 63 == 0 { 1.0 } else { -1.0 };
        }
        let length = sums.iter().map(|sum| sum * sum).sum::<f32>().sqrt();
        if length > 0.0 {
            sums.iter_mut().for_each(|sum| *sum /= length);
        }
        Embedding(sums)
    }

    /// The cosine of the angle to `other`: 1 for the same direction, 0 for nothing in common.
    pub fn cosine(&self, other: &Embedding) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|coordinate| coordinate.to_le_bytes()).collect()
    }

    /// From what [`to_bytes`](Self::to_bytes) gave; `None` if `bytes` are something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (coordinates, rest) = bytes.as_chunks();
        let whole = rest.is_empty() && coordinates.len() == DIMENSIONS;
        whole.then(|| Embedding(coordinates.iter().copied().map(f32::from_le_bytes).collect()))
    }
}

/// In lower case, with one space for whatever stands between two words.
fn letters(text: &str) -> Vec<char> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.flat_map(|word| [" ", word]).flat_map(str::chars).flat_map(char::to_lowercase).collect()
}

/// FNV-1a: the same on every machine and in every release, so that it can be stored.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_texts_are_nearer_than_others() {
        let breaker = Embedding::of("The circuit breaker opens after five failures in a row.");
        let similar = Embedding::of("After five failures the circuit breaker is open!");
        let other = Embedding::of("Paragraphs are wrapped at one hundred columns");
        assert!(breaker.cosine(&similar) > breaker.cosine(&other) + 0.2);
        assert!((breaker.cosine(&breaker) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn case_and_punctuation_make_no_difference() {
        assert_eq!(Embedding::of("Half-open: probing."), Embedding::of("half open   PROBING"));
    }

    #[test]
    fn it_comes_back_from_bytes_as_it_was_and_damage_is_noticed() {
        let embedding = Embedding::of("stored and read again");
        let bytes = embedding.to_bytes();
        assert_eq!(Embedding::from_bytes(&bytes), Some(embedding));
        assert_eq!(Embedding::from_bytes(&bytes[1..]), None);
    }

    #[test]
    fn a_text_without_letters_is_near_nothing() {
        assert_eq!(Embedding::of("…").cosine(&Embedding::of("a word")), 0.0);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(hash(*b"foobar"), 0x85944171f73967e8);
    }
}
