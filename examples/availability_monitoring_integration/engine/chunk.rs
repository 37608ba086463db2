//! Cutting a text into chunks that are short enough to be one thought.

/// The most bytes that a chunk has.
const LIMIT: usize = 800;

/// Where a chunk may end, the best first.
const ENDS: [&str; 3] = ["\n\n", "\n", " "];

/// Cuts `text` into chunks, at the end of a paragraph, a line or a word where there is one.
pub fn split(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(length_of_next(rest));
        chunks.push(chunk.trim_end());
        rest = after.trim_start();
    }
    chunks
}

fn length_of_next(text: &str) -> usize {
    if text.len() <= LIMIT {
        return text.len();
    }
    let longest = (0..=LIMIT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    // An end in the first half would leave a crumb.
    let mut ends = ENDS.iter().filter_map(|end| text[..longest].rfind(end));
    ends.find(|&at| at > longest / 2).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_chunk_and_an_empty_one_is_none() {
        assert_eq!(split(" one thought\n"), ["one thought"]);
        assert!(split(" \n\n ").is_empty());
    }

    #[test]
    fn a_chunk_ends_with_a_paragraph_where_it_can() {
        let (first, second) = ("a".repeat(LIMIT - 100), "b c ".repeat(100));
        let text = format!("{first}\n\n{second}");
        assert_eq!(split(&text), [first.as_str(), second.trim()]);
    }

    #[test]
    fn no_chunk_is_too_long_and_no_word_is_lost() {
        let text = "naïve Größen – 数え切れない\tline\n".repeat(300) + &"x".repeat(3 * LIMIT);
        let chunks = split(&text);
        assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= LIMIT));
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(letters(&chunks.concat()), letters(&text));
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        let text = "語".repeat(LIMIT);
        assert_eq!(split(&text).concat(), text);
    }
}
