/* Plain functions over WiredTiger's public interface, whose own are variadic or behind tables of
 * pointers. Written from its manual; each returns 0 or its error code. */
#include <stddef.h>
#include <stdio.h>
#include <wiredtiger.h>

#define ROWS "table:rows"

int bench_open(const char *home, const char *config, const char *table, WT_CONNECTION **connection) {
    WT_SESSION *session;
    int error = wiredtiger_open(home, NULL, config, connection);
    if (error != 0)
        return error;
    if ((error = (*connection)->open_session(*connection, NULL, NULL, &session)) != 0)
        return error;
    if ((error = session->create(session, ROWS, table)) != 0)
        return error;
    return session->close(session, NULL);
}

int bench_close(WT_CONNECTION *connection) { return connection->close(connection, NULL); }

int bench_session(WT_CONNECTION *connection, WT_SESSION **session) {
    return connection->open_session(connection, NULL, NULL, session);
}

int bench_session_close(WT_SESSION *session) { return session->close(session, NULL); }

int bench_cursor(WT_SESSION *session, const char *config, WT_CURSOR **cursor) {
    return session->open_cursor(session, ROWS, NULL, config, cursor);
}

int bench_cursor_close(WT_CURSOR *cursor) { return cursor->close(cursor); }

int bench_begin(WT_SESSION *session) { return session->begin_transaction(session, "isolation=snapshot"); }

int bench_commit(WT_SESSION *session, const char *config) {
    return session->commit_transaction(session, config);
}

int bench_rollback(WT_SESSION *session) { return session->rollback_transaction(session, NULL); }

int bench_checkpoint(WT_SESSION *session) { return session->checkpoint(session, NULL); }

int bench_compact(WT_SESSION *session) { return session->compact(session, ROWS, NULL); }

static void set_key(WT_CURSOR *cursor, const void *key, size_t key_bytes) {
    WT_ITEM item = {0};
    item.data = key;
    item.size = key_bytes;
    cursor->set_key(cursor, &item);
}

int bench_insert(WT_CURSOR *cursor, const void *key, size_t key_bytes, const void *value, size_t value_bytes) {
    WT_ITEM item = {0};
    set_key(cursor, key, key_bytes);
    item.data = value;
    item.size = value_bytes;
    cursor->set_value(cursor, &item);
    return cursor->insert(cursor);
}

int bench_remove(WT_CURSOR *cursor, const void *key, size_t key_bytes) {
    set_key(cursor, key, key_bytes);
    return cursor->remove(cursor);
}

/* Removes the row under the cursor. */
int bench_remove_here(WT_CURSOR *cursor) { return cursor->remove(cursor); }

int bench_search(WT_CURSOR *cursor, const void *key, size_t key_bytes) {
    set_key(cursor, key, key_bytes);
    return cursor->search(cursor);
}

/* To the first row whose key is not smaller. */
int bench_seek(WT_CURSOR *cursor, const void *key, size_t key_bytes) {
    int exact, error;
    set_key(cursor, key, key_bytes);
    if ((error = cursor->search_near(cursor, &exact)) != 0)
        return error;
    return exact < 0 ? cursor->next(cursor) : 0;
}

int bench_next(WT_CURSOR *cursor) { return cursor->next(cursor); }

int bench_prev(WT_CURSOR *cursor) { return cursor->prev(cursor); }

int bench_reset(WT_CURSOR *cursor) { return cursor->reset(cursor); }

int bench_row(WT_CURSOR *cursor, const void **key, size_t *key_bytes, const void **value, size_t *value_bytes) {
    WT_ITEM item;
    int error = cursor->get_key(cursor, &item);
    if (error != 0)
        return error;
    *key = item.data;
    *key_bytes = item.size;
    if ((error = cursor->get_value(cursor, &item)) != 0)
        return error;
    *value = item.data;
    *value_bytes = item.size;
    return 0;
}

int bench_is_missing(int error) { return error == WT_NOTFOUND; }

const char *bench_error(int error) { return wiredtiger_strerror(error); }

const char *bench_version(void) {
    static char text[64];
    int major, minor, patch;
    wiredtiger_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return text;
}
