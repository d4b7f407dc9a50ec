// peer.js PORT USER FILE BYTES LAST_FILE: decodes a binlog with a decoder for Node.js and counts rows; ends at the end of the last file.
const { default: ZongJi } = require('@vlasky/zongji');
const [port, user, file, , last] = process.argv.slice(2);
const zongji = new ZongJi({ host: '127.0.0.1', port: Number(port), user, password: process.env.ROWTIDE_SOURCE_PASSWORD });
let rows = 0, current = file;

zongji.on('binlog', (event) => {
  const name = event.getEventName();
  if (name === 'rotate') {
    if (current === last && event.binlogName !== last) {
      console.log(`${rows} rows`);
      process.exit(0);
    }
    current = event.binlogName;
  } else if (event.rows) {
    rows += event.rows.length;
  }
});
zongji.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
zongji.start({ filename: file, position: 4, serverId: 4243, includeSchema: { bench: true },
               includeEvents: ['rotate', 'tablemap', 'writerows', 'updaterows', 'deleterows'] });
