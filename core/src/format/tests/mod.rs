//! The format held to a model, to hostile bytes and to golden bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod golden;
mod hostile;
mod model;

use super::{
    BuilderCapacity, PageBuilder, PageImage, PageKind, Tag, cell_bytes, common_prefix, image_bytes,
};

/// A cell to build: key, tag, value.
type Entry = (Vec<u8>, Tag, Vec<u8>);

/// The builder's image of sorted `entries` and of nothing else, under the longest prefix.
fn build(kind: PageKind, entries: &[Entry]) -> PageImage {
    let prefix = longest_prefix(entries);
    let mut builder = PageBuilder::new(kind, prefix, BuilderCapacity::default());
    let mut cells_bytes = 0;
    for (key, tag, value) in entries {
        let size_bytes = builder.size_bytes_with(key.len(), value.len());
        cells_bytes += cell_bytes(prefix.len(), key.len(), value.len());
        builder.push(key, *tag, value);
        assert_eq!(builder.size_bytes(), size_bytes);
    }
    assert_eq!(builder.size_bytes(), image_bytes(prefix.len(), entries.len(), cells_bytes));
    let size_bytes = builder.size_bytes();
    let image = builder.finish_image();
    assert_eq!(image.bytes_len(), size_bytes);
    assert!(builder.is_empty());
    image
}

fn longest_prefix(entries: &[Entry]) -> &[u8] {
    match (entries.first(), entries.last()) {
        (Some((first, ..)), Some((last, ..))) => &first[..common_prefix(first, last)],
        _ => &[],
    }
}
