//! What the file keeps for a time: a table of values with their ends, and one of the keys in the
//! order in which they end.

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    Table, TableDefinition, TableError, Value, WriteTransaction,
};

/// Ended entries removed with each new one: more than one, so that they cannot pile up, and few, so
/// that no job pays for a whole day's.
const PURGED_AT_ONCE: usize = 8;

/// Values that end, in milliseconds of Unix time. A file that lacks the tables gets them with the
/// first entry.
pub struct Expiring<K: Key + 'static> {
    values: TableDefinition<'static, K, (u64, &'static [u8])>,
    ends: TableDefinition<'static, (u64, K), ()>,
    /// How many there may be; the first to end makes room for a new one.
    most: u64,
}

impl<K> Expiring<K>
where
    K: Key + Copy + 'static,
    for<'a> K: Value<SelfType<'a> = K>,
{
    pub const fn new(values: &'static str, ends: &'static str, most: u64) -> Self {
        Self { values: TableDefinition::new(values), ends: TableDefinition::new(ends), most }
    }

    pub fn make(&self, tx: &WriteTransaction) -> Result<(), redb::Error> {
        tx.open_table(self.values)?;
        tx.open_table(self.ends)?;
        Ok(())
    }

    /// The value, ended or not, and its end.
    pub fn get(&self, tx: &ReadTransaction, key: K) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
        let values = match tx.open_table(self.values) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            opened => opened?,
        };
        let entry = values.get(key)?;
        Ok(entry.map(|entry| {
            let (end, value) = entry.value();
            (end, value.to_vec())
        }))
    }

    /// The values that end last, and have not ended by `now`: so many at most, the last one first.
    pub fn last(&self, tx: &ReadTransaction, now: u64, most: usize) -> Result<Vec<Vec<u8>>, redb::Error> {
        let ends = match tx.open_table(self.ends) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut values = Vec::new();
        for entry in ends.iter()?.rev().take(most) {
            let (end, key) = entry?.0.value();
            if end <= now {
                break;
            }
            values.extend(self.get(tx, key)?.map(|(_, value)| value));
        }
        Ok(values)
    }

    /// Keeps `value` until `end`, in place of an earlier one.
    pub fn put(
        &self,
        tx: &WriteTransaction,
        key: K,
        value: &[u8],
        now: u64,
        end: u64,
    ) -> Result<(), redb::Error> {
        let (mut values, mut ends) = (tx.open_table(self.values)?, tx.open_table(self.ends)?);
        remove_ended(&mut values, &mut ends, now, PURGED_AT_ONCE)?;
        if values.len()? >= self.most {
            remove_ended(&mut values, &mut ends, u64::MAX, 1)?;
        }
        // An entry of the same key may not have been removed since it ended.
        let earlier = values.insert(key, (end, value))?.map(|earlier| earlier.value().0);
        if let Some(end) = earlier {
            ends.remove((end, key))?;
        }
        ends.insert((end, key), ())?;
        Ok(())
    }

    pub fn remove(&self, tx: &WriteTransaction, key: K) -> Result<(), redb::Error> {
        let (mut values, mut ends) = (tx.open_table(self.values)?, tx.open_table(self.ends)?);
        let removed = values.remove(key)?.map(|entry| entry.value().0);
        if let Some(end) = removed {
            ends.remove((end, key))?;
        }
        Ok(())
    }

    /// Removes all that have ended by `now`.
    pub fn purge(&self, database: &Database, now: u64) -> Result<(), redb::Error> {
        // Opening a queue writes nothing where there is nothing to remove.
        match database.begin_read()?.open_table(self.ends) {
            Ok(ends) => match ends.first()? {
                Some((end, _)) if end.value().0 <= now => {}
                _ => return Ok(()),
            },
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let tx = database.begin_write()?;
        {
            let (mut values, mut ends) = (tx.open_table(self.values)?, tx.open_table(self.ends)?);
            remove_ended(&mut values, &mut ends, now, usize::MAX)?;
        }
        Ok(tx.commit()?)
    }
}

/// Removes up to `most` of the entries that have ended by `now`, the first ones first.
fn remove_ended<K>(
    values: &mut Table<K, (u64, &[u8])>,
    ends: &mut Table<(u64, K), ()>,
    now: u64,
    most: usize,
) -> Result<(), redb::Error>
where
    K: Key + Copy + 'static,
    for<'a> K: Value<SelfType<'a> = K>,
{
    for _ in 0..most {
        let (end, key) = match ends.first()? {
            Some((entry, _)) if entry.value().0 <= now => entry.value(),
            _ => break,
        };
        ends.remove((end, key))?;
        values.remove(key)?;
    }
    Ok(())
}
