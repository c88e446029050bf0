// An endpoint in Node that verifies with the published `standardwebhooks` and reads events with `cloudevents`.
// Prints one JSON line per request: {"verified", "id", "body", "event"} or {"error"}; the first line is {"port"}.
//   SECRET=whsec_… node node_receiver.mjs FOLDER     FOLDER holds node_modules
import http from 'node:http';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.argv[2], 'package.json'));
const { Webhook } = require('standardwebhooks');
const { HTTP } = require('cloudevents');
const webhook = new Webhook(process.env.SECRET);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const raw = Buffer.concat(parts).toString();
    try {
      const body = webhook.verify(raw, request.headers);
      let event = null;
      if (HTTP.isEvent({ headers: request.headers, body: raw })) {
        event = HTTP.toEvent({ headers: request.headers, body: raw });
        event = event.toJSON ? event.toJSON() : event;
      }
      say({ verified: true, id: request.headers['webhook-id'], body, event });
      response.writeHead(204).end();
    } catch (error) {
      say({ verified: false, error: String(error) });
      response.writeHead(400).end();
    }
  });
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
