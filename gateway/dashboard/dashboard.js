// The page of the admin listener. Reads the admin API every few seconds; whatever comes from there is shown as text.
'use strict';

const PERIOD = 5000;  // milliseconds
const PAGE = 20;      // entries
const KEY = 'kvasir-admin-key';
const OUTCOMES = ['exact', 'semantic', 'miss', 'unknown'];

const byId = (id) => document.getElementById(id);
let offset = 0;      // of the entries shown
let total = 0;       // entries that match the filter
let timer = 0;
let replayNumber = 0;
let thresholdTouched = false;

class Refused extends Error {}

async function call(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const response = await fetch(path, { cache: 'no-store', ...options, headers: { ...headers, ...options.headers } });
  if (response.status === 401) throw new Refused();
  const body = await response.json();
  if (!response.ok) throw new Error(body.error?.message ?? `The gateway answered ${response.status}.`);
  return body;
}


function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);  // strings become text nodes
  return made;
}

const cell = (text, className) => element('td', className ?? '', text ?? '');
const number = (value) => cell(value, 'number');
const short = (text) => cell(text, 'short');
const long = (text, otherwise) => {
  const shown = element('div', 'text', text ?? otherwise);
  shown.title = text ?? '';
  return element('td', '', shown);
};

// Rows are put in all at once, and only if they differ, so that nothing flickers and a selection stays.
function fill(tableId, rows, empty) {
  const table = byId(tableId);
  const body = table.tBodies[0];
  if (rows.length === 0) {
    const nothing = cell(empty, 'empty');
    nothing.colSpan = table.tHead.rows[0].cells.length;
    rows = [element('tr', '', nothing)];
  }
  const fresh = element('tbody', '', ...rows);
  if (!fresh.isEqualNode(body)) body.replaceChildren(...fresh.childNodes);
}

const row = (...cells) => element('tr', '', ...cells);
const gone = '(no longer there)';
const unkept = '(not kept)';
const time = (seconds) => new Date(seconds * 1000).toLocaleString();
const cosine = (value) => (value === null ? '' : value.toFixed(3));
const percent = (part, whole) => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`);

function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`;
}


function showStats(stats) {
  const asked = stats.exact_hits + stats.semantic_hits + stats.misses;
  const hits = stats.exact_hits + stats.semantic_hits;
  const tiles = [
    ['hits', 'Hits', percent(hits, asked), `${hits} of ${asked} look-ups`],
    ['exact', 'Exact', percent(stats.exact_hits, asked), `${stats.exact_hits} hits`],
    ['semantic', 'Semantic', percent(stats.semantic_hits, asked), `${stats.semantic_hits} hits`],
    ['misses', 'Misses', percent(stats.misses, asked), `${stats.misses} look-ups`],
    ['entries', 'Entries', String(stats.entries), `in ${stats.partitions} partitions`],
    ['memory', 'Memory', bytes(stats.bytes), `${stats.vectors} vectors`],
    ['removed', 'Invalidated', String(stats.invalidated), `${stats.expired} expired, ${stats.evicted} evicted`],
    ['store', 'Store', stats.store.kind,
      stats.store.connected === false ? 'away' : `${stats.store_failures} failures, ${stats.corrupt} damaged`],
  ].map(([name, title, value, more]) => {
    const tile = element('div', '', element('dt', '', title), element('dd', '', value), element('dd', 'more', more));
    tile.dataset.tile = name;
    return tile;
  });
  const fresh = element('dl', 'tiles', ...tiles);
  fresh.id = 'tiles';
  if (!fresh.isEqualNode(byId('tiles'))) byId('tiles').replaceWith(fresh);

  const reasons = Object.entries(stats.reasons).sort((a, b) => b[1] - a[1]);
  const counted = reasons.reduce((sum, [, count]) => sum + count, 0);
  fill('reasons', reasons.map(([reason, count]) => {
    const meter = element('meter', '');
    meter.max = counted;
    meter.value = count;
    return row(cell(reason), number(String(count)), element('td', '', meter, ` ${percent(count, counted)}`));
  }), 'No misses yet.');
}

// What stood between a look-up and the entry: the guard, the request's own limits, or the threshold alone.
function objectionOf(lookup, near) {
  if (near.objection) return near.objection;
  if (near.similarity < lookup.threshold) {
    const unchecked = near.objection === null && lookup.policy === 'guarded';
    return `below_threshold (${lookup.threshold})${unchecked ? '' : ', nothing else'}`;
  }
  return lookup.reason;
}

function showLookups({ lookups, questions }) {
  const asked = (lookup) => long(lookup.question, questions ? gone : unkept);
  const near = lookups.filter((lookup) => lookup.outcome === 'miss' && lookup.nearest.length > 0)
    .sort((a, b) => b.nearest[0].similarity - a.nearest[0].similarity).slice(0, 20);
  fill('near-misses', near.map((lookup) => {
    const [nearest] = lookup.nearest;
    return row(number(cosine(nearest.similarity)), asked(lookup), long(nearest.question, gone),
      cell(objectionOf(lookup, nearest)), short(time(lookup.time)));
  }), 'No miss had a neighbour yet.');
  fill('lookups', lookups.slice(0, 20).map((lookup) => row(short(time(lookup.time)), cell(lookup.outcome),
    cell(lookup.reason), number(cosine(lookup.similarity)), asked(lookup), cell(lookup.tenant), cell(lookup.model))),
  'Nothing was looked up yet.');
  // The slider begins where the gateway stands.
  if (!thresholdTouched && lookups.length > 0) {
    byId('threshold').value = lookups[0].threshold;
    byId('policy').value = lookups[0].policy;
  }
}

function showReplay(replay) {
  const counts = (name, outcomes) => row(element('th', '', name),
    ...OUTCOMES.map((outcome) => number(String(outcomes[outcome] ?? '–'))));
  fill('replay-counts', [counts('Was', replay.was), counts('Would be', replay.would)]);
  const shown = replay.changed.length < replay.changes ? ` The newest ${replay.changed.length} are shown.` : '';
  const unknown = replay.would.unknown > 0
    ? ' Unknown are those whose question was not kept whole, or whose nearest entries are gone.' : '';
  byId('replay-summary').textContent =
    `${replay.changes} of ${replay.lookups} look-ups would have ended otherwise.${shown}${unknown}`;
  fill('changes', replay.changed.map((lookup) => row(long(lookup.question, unkept), cell(lookup.outcome),
    cell(lookup.would === 'miss' ? `miss: ${lookup.would_reason}` : lookup.would),
    long(lookup.served?.question, lookup.served ? gone : ''),
    number(lookup.served ? cosine(lookup.served.similarity) : cosine(lookup.similarity)))),
  'No look-up would have ended otherwise.');
}

function showEntries(page) {
  total = page.total;
  fill('entries', page.entries.map((entry) => {
    const remove = element('button', 'danger', 'Delete');
    remove.type = 'button';
    remove.dataset.entry = entry.id;
    remove.title = entry.id;
    remove.setAttribute('aria-label', `Delete ${entry.id}`);
    return row(long(entry.question), long(entry.documents.join('\n')), cell(entry.tags.join(', ')), cell(entry.tenant),
      cell(entry.model), short(time(entry.created)), short(time(entry.expires)), element('td', '', remove));
  }), 'No entries.');
  const last = Math.min(offset + PAGE, total);
  byId('page').textContent = total === 0 ? '' : `${Math.min(offset + 1, last)} to ${last} of ${total}`;
  byId('previous').disabled = offset === 0;
  byId('next').disabled = last >= total;
}


function entriesPath() {
  const query = new URLSearchParams({ offset, limit: PAGE });
  for (const name of ['text', 'document', 'tag', 'tenant', 'model']) {
    const value = byId(`f-${name}`).value.trim();
    if (value) query.set(name, value);
  }
  return `/admin/cache/entries?${query}`;
}

async function readEntries() {
  let page = await call(entriesPath());
  if (page.entries.length === 0 && offset > 0) {  // its last one was removed
    offset = Math.max(0, Math.floor((page.total - 1) / PAGE) * PAGE);
    page = await call(entriesPath());
  }
  showEntries(page);
}

async function readReplay() {
  const threshold = byId('threshold').value;
  byId('threshold-value').textContent = Number(threshold).toFixed(2);
  const query = new URLSearchParams({ threshold, policy: byId('policy').value, limit: byId('replayed').value });
  replayNumber += 1;
  const mine = replayNumber;
  const replay = await call(`/admin/cache/replay?${query}`);
  if (mine === replayNumber) showReplay(replay);  // the slider has not moved on
}

function askForKey() {
  byId('login-message').textContent = sessionStorage.getItem(KEY)
    ? 'This key is not the admin API\'s.' : 'This admin API asks for a key.';
  byId('login-message').classList.toggle('bad', sessionStorage.getItem(KEY) !== null);
  sessionStorage.removeItem(KEY);
  byId('login').hidden = false;
  byId('content').hidden = true;
  say('');
  byId('key').focus();
}

function say(text, bad = false) {
  byId('status').textContent = text;
  byId('status').classList.toggle('bad', bad);
}

// Runs `work`; what goes wrong is said at the top.
async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Refused) {
      askForKey();
    } else {
      say(error instanceof TypeError ? 'The gateway does not answer.' : error.message, true);
    }
    return false;
  }
}

async function refresh() {
  clearTimeout(timer);
  const good = await attempt(async () => {
    showStats(await call('/admin/cache/stats'));
    showLookups(await call('/admin/cache/lookups?limit=1000'));
    await readReplay();
    await readEntries();
    byId('login').hidden = true;
    byId('content').hidden = false;
  });
  if (good) say(`As of ${new Date().toLocaleTimeString()}`);
  if (byId('login').hidden) {
    clearTimeout(timer);
    timer = setTimeout(refresh, PERIOD);
  }
}


function confirmed(text) {
  const dialog = byId('confirm');
  byId('confirm-text').textContent = text;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

const names = (id) => byId(id).value.split(',').map((name) => name.trim()).filter((name) => name !== '');

async function invalidate() {
  const what = {};
  if (names('i-documents').length > 0) what.documents = names('i-documents');
  if (names('i-tags').length > 0) what.tags = names('i-tags');
  for (const field of ['tenant', 'model']) {
    const value = byId(`i-${field}`).value.trim();
    if (value) what[field] = value;
  }
  if (byId('i-all').checked) what.all = true;
  const told = byId('invalidated');
  if (Object.keys(what).length === 0) {
    told.textContent = 'Name documents, tags, a tenant, a model, or all of them.';
    return;
  }
  const parts = Object.entries(what).filter(([name]) => name !== 'all')
    .map(([name, value]) => `${name} ${[value].flat().join(', ')}`);
  const which = parts.length === 0 ? 'all answers' : `the answers of ${parts.join('; ')}`;
  if (!(await confirmed(`Remove ${which}? They will be computed again when they are asked for.`))) return;
  const removed = await call('/admin/cache/invalidate',
    { method: 'POST', body: JSON.stringify(what), headers: { 'content-type': 'application/json' } });
  told.textContent = `Removed ${removed.answers} answers and ${removed.kv_blocks} KV blocks.`;
  byId('invalidate').reset();
  await refresh();
}

async function removeEntry(id) {
  if (!(await confirmed(`Remove the answer ${id}?`))) return;
  await call(`/admin/cache/entries/${encodeURIComponent(id)}`, { method: 'DELETE' });
  await refresh();
}

function onSubmit(id, work) {
  byId(id).addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(work);
  });
}

onSubmit('login', async () => {
  sessionStorage.setItem(KEY, byId('key').value);
  byId('key').value = '';
  await refresh();
});
onSubmit('filter', async () => {
  offset = 0;
  await readEntries();
});
onSubmit('invalidate', invalidate);
for (const [id, step] of [['previous', -PAGE], ['next', PAGE]]) {
  byId(id).addEventListener('click', () => {
    offset = Math.max(0, offset + step);
    attempt(readEntries);
  });
}
byId('entries').addEventListener('click', (event) => {
  const id = event.target.dataset.entry;
  if (id) attempt(() => removeEntry(id));
});
for (const id of ['threshold', 'policy', 'replayed']) {
  byId(id).addEventListener('input', () => {
    thresholdTouched = true;
    attempt(readReplay);
  });
}
refresh();
