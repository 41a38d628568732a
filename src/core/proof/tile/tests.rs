use super::*;

#[test]
fn a_tile_is_named_as_the_specification_names_it() {
    let named = |kind, number, width| Tile::new(kind, number, width).unwrap().to_string();
    assert_eq!(named(TileKind::Hashes(0), 0, 256), "tile/0/000");
    assert_eq!(named(TileKind::Hashes(3), 1_234_067, 256), "tile/3/x001/x234/067");
    assert_eq!(named(TileKind::Entries, 1_000, 7), "tile/entries/x001/000.p/7");
    for (kind, number, width) in [
        (TileKind::Hashes(0), 999, 255),
        (TileKind::Entries, 1_000_000, 1),
        (TileKind::Hashes(7), 0, 255),
        (TileKind::Hashes(0), u64::MAX >> 8, 256),
    ] {
        let tile = Tile::new(kind, number, width).unwrap();
        assert_eq!(Tile::read(&tile.to_string()), Some(tile));
    }
}

#[test]
fn a_name_that_is_written_otherwise_leads_nowhere() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/8/000",
        "tile/63/000",
        "tile/256/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/00a",
        "tile/0/+00",
        "tile/0/x000/001",
        "tile/0/x001/x000",
        "tile/0/001/000",
        "tile/0/x001/00",
        "tile/0/X001/000",
        "tile/0/xx01/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/1/../../../etc",
        "tile/0/../000",
        "tile/0/%30%30%30",
        "tile/entries",
        "tile/Entries/000",
        "tile/entries/000 ",
        "tile/7/001",
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/\u{660}\u{660}\u{660}",
    ] {
        assert_eq!(Tile::read(path), None, "{path}");
    }
    assert!(Tile::new(TileKind::Hashes(0), 0, 0).is_none() && Tile::new(TileKind::Hashes(0), 0, 257).is_none());
}

#[test]
fn a_bundle_holds_just_its_entries() {
    let entries: [&[u8]; 3] = [b"one", b"", &[7; 65_535]];
    let bytes = entry_bytes(entries).unwrap();
    let tile = |width| Tile::new(TileKind::Entries, 0, width).unwrap();
    assert_eq!(read_entries(tile(3), &bytes).unwrap(), entries);
    assert_eq!(read_entries(tile(2), &bytes), None);
    assert_eq!(read_entries(tile(4), &bytes), None);
    assert_eq!(read_entries(tile(3), &bytes[..bytes.len() - 1]), None);
    assert_eq!(read_entries(tile(3), &[bytes.as_slice(), b"\0"].concat()), None);
    assert_eq!(entry_bytes([[7; 65_536].as_slice()]), None);
}

#[test]
fn a_tile_of_hashes_has_as_many_as_it_is_wide() {
    let hashes = [TreeHash::of_leaf(b"1"), TreeHash::of_leaf(b"2")];
    let bytes = hash_bytes(&hashes);
    let tile = |width| Tile::new(TileKind::Hashes(1), 3, width).unwrap();
    assert_eq!(read_hashes(tile(2), &bytes).unwrap(), hashes);
    assert_eq!(read_hashes(tile(1), &bytes), None);
    assert_eq!(read_hashes(tile(3), &bytes), None);
    assert_eq!(read_hashes(tile(2), &bytes[..63]), None);
}
