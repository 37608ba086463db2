//! The tables of the database, and what is done to them in one transaction.

use std::path::Path;

use redb::{Database, TableDefinition};

use super::storage::Prepared;

/// A document's path, and the number of the chunk in it.
pub type Key = (&'static str, u32);

/// The compressed text of each chunk.
pub const CHUNKS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("chunks");
/// The embedding of each chunk.
pub const VECTORS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("vectors");
/// The checksum of each document, as it was when it was stored.
pub const DOCUMENTS: TableDefinition<'_, &str, u64> = TableDefinition::new("documents");

/// Opens the database, or makes it, with every table in place.
pub fn open(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(CHUNKS)?;
    transaction.open_table(VECTORS)?;
    transaction.open_table(DOCUMENTS)?;
    transaction.commit()?;
    Ok(database)
}

/// Puts a document in place of what was stored of it before.
pub fn replace(database: &Database, prepared: &Prepared) -> Result<(), redb::Error> {
    let document = prepared.document.as_str();
    let transaction = database.begin_write()?;
    {
        let mut chunks = transaction.open_table(CHUNKS)?;
        let mut vectors = transaction.open_table(VECTORS)?;
        chunks.retain_in((document, 0)..=(document, u32::MAX), |_, _| false)?;
        vectors.retain_in((document, 0)..=(document, u32::MAX), |_, _| false)?;
        for (number, (text, embedding)) in (0..).zip(&prepared.chunks) {
            chunks.insert((document, number), compress(text).as_slice())?;
            vectors.insert((document, number), embedding.to_bytes().as_slice())?;
        }
        transaction.open_table(DOCUMENTS)?.insert(document, prepared.checksum)?;
    }
    Ok(transaction.commit()?)
}

/// As it is stored: LZ4, with its length in front.
pub fn compress(text: &str) -> Vec<u8> {
    lz4_flex::compress_prepend_size(text.as_bytes())
}

/// From what [`compress`] gave; `None` if `bytes` are something else.
pub fn decompress(bytes: &[u8]) -> Option<String> {
    String::from_utf8(lz4_flex::decompress_size_prepended(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_from_its_compressed_form_and_damage_is_noticed() {
        let text = "a chunk, a chunk, and one more chunk ".repeat(10);
        let bytes = compress(&text);
        assert!(bytes.len() < text.len() / 4);
        assert_eq!(decompress(&bytes), Some(text));
        assert_eq!(decompress(&bytes[..bytes.len() - 1]), None);
    }
}
