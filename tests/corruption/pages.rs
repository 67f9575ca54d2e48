//! A file as its pages: as much of SQLite's format as it takes to make files that SQLite never would
//! (<https://sqlite.org/fileformat2.html>).

use crate::support::{TestFile, plain_sqlite};

pub(crate) const PAGE: usize = 4096;

/// The bytes of a database, by page. The tree of the schema begins on page 1, after the file header.
#[derive(Clone)]
pub(crate) struct Pages(pub(crate) Vec<u8>);

impl Pages {
    /// The page on which the tree of a table or index begins, as plain SQLite finds it.
    pub(crate) fn root(&self, name: &str) -> usize {
        if name == "sqlite_schema" {
            return 1;
        }
        let file = TestFile::with(&self.0);
        let plain = plain_sqlite(&file.path);
        let root: rusqlite::Result<i64> =
            plain.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0));
        usize::try_from(root.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap()
    }

    pub(crate) fn page(&mut self, number: usize) -> &mut [u8] {
        &mut self.0[(number - 1) * PAGE..][..PAGE]
    }

    /// Appends a page, counts it in the header, and returns its number.
    pub(crate) fn append(&mut self, page: &[u8]) -> usize {
        self.0.extend_from_slice(page);
        let count = self.0.len() / PAGE;
        self.set_header(28, count);
        count
    }

    /// Sets a four-byte number of the file header.
    pub(crate) fn set_header(&mut self, place: usize, value: usize) {
        self.0[place..place + 4].copy_from_slice(&number(value));
    }

    /// The offsets of the cells of a page.
    pub(crate) fn cells(&mut self, page: usize) -> Vec<usize> {
        let header = header_of(page);
        let bytes = self.page(page);
        let pointers = header + if is_interior(bytes[header]) { 12 } else { 8 };
        let count = usize::from(two(&bytes[header + 3..]));
        (0..count).map(|cell| usize::from(two(&bytes[pointers + 2 * cell..]))).collect()
    }

    /// The first page with entries below `page`.
    pub(crate) fn first_leaf(&mut self, mut page: usize) -> usize {
        while is_interior(self.page(page)[header_of(page)]) {
            let first = self.cells(page)[0];
            page = usize::try_from(u32::from_be_bytes(self.page(page)[first..][..4].try_into().unwrap())).unwrap();
        }
        page
    }

    /// Replaces the tree at `root` by one of `levels` levels in which every cell of a page leads to the next page, and
    /// the last page to the former leaf: a few pages with more entries than can ever be read.
    pub(crate) fn multiply(&mut self, root: usize, levels: usize) {
        let leaf = self.first_leaf(root);
        let kind = self.page(leaf)[header_of(leaf)];
        let cell = self.first_cell(leaf);
        let mut copy = self.page(leaf).to_vec();
        if leaf == 1 {
            copy = without_file_header(&copy);
        }
        let mut below = self.append(&copy);
        for _ in 1..levels {
            let page = interior(kind, &cell, below, 0);
            below = self.append(&page);
        }
        let header = header_of(root);
        let top = interior(kind, &cell, below, header);
        self.page(root)[header..].copy_from_slice(&top[header..]);
    }

    /// Replaces the tree at `root` by a page that leads to itself.
    pub(crate) fn lead_to_itself(&mut self, root: usize) {
        let leaf = self.first_leaf(root);
        let (kind, cell) = (self.page(leaf)[header_of(leaf)], self.first_cell(leaf));
        let header = header_of(root);
        let page = interior(kind, &cell, root, header);
        self.page(root)[header..].copy_from_slice(&page[header..]);
    }

    /// Makes every chain of pages that hold nothing but the letter `x` cyclic: each page leads to the first.
    pub(crate) fn circle_of_chains(&mut self) {
        let is_chained = |number: &usize| self.0[(number - 1) * PAGE + 4..][..1_000].iter().all(|byte| *byte == b'x');
        let chain: Vec<usize> = (2..=self.0.len() / PAGE).filter(is_chained).collect();
        assert!(chain.len() > 100, "{chain:?}");
        for page in &chain {
            self.page(*page)[..4].copy_from_slice(&number(chain[0]));
        }
    }

    /// The cell by which an interior page leads to a leaf: of an index the first entry, of a table only a key.
    fn first_cell(&mut self, leaf: usize) -> Vec<u8> {
        let (kind, first) = (self.page(leaf)[header_of(leaf)], self.cells(leaf)[0]);
        let bytes = self.page(leaf);
        match kind {
            LEAF_OF_TABLE => vec![0],
            _ => bytes[first..=first + usize::from(bytes[first])].to_vec(),
        }
    }
}

const LEAF_OF_TABLE: u8 = 13;

fn is_interior(kind: u8) -> bool {
    matches!(kind, 2 | 5)
}

/// The offset of the header of a b-tree page.
pub(crate) fn header_of(page: usize) -> usize {
    if page == 1 { 100 } else { 0 }
}

fn without_file_header(page: &[u8]) -> Vec<u8> {
    let mut copy = page.to_vec();
    let count = usize::from(two(&copy[103..]));
    copy.copy_within(100..108 + 2 * count, 0);
    copy
}

/// An interior page above leaves of this kind, full of cells that lead to `child`.
fn interior(leaf: u8, cell: &[u8], child: usize, header: usize) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    let (mut end, mut count, pointers) = (PAGE, 0, header + 12);
    while pointers + 2 * (count + 1) + cell.len() + 4 <= end {
        end -= cell.len() + 4;
        page[end..end + 4].copy_from_slice(&number(child));
        page[end + 4..end + 4 + cell.len()].copy_from_slice(cell);
        page[pointers + 2 * count..][..2].copy_from_slice(&u16::try_from(end).unwrap().to_be_bytes());
        count += 1;
    }
    page[header] = if leaf == LEAF_OF_TABLE { 5 } else { 2 };
    page[header + 3..header + 5].copy_from_slice(&u16::try_from(count).unwrap().to_be_bytes());
    page[header + 5..header + 7].copy_from_slice(&u16::try_from(end).unwrap().to_be_bytes());
    page[header + 8..header + 12].copy_from_slice(&number(child));
    page
}

fn two(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// The number of a page as the file stores it.
pub(crate) fn number(page: usize) -> [u8; 4] {
    u32::try_from(page).unwrap().to_be_bytes()
}
