// Fastify and amqplib: one confirm channel, persistent messages, answered when the broker has confirmed.
'use strict';

const amqplib = require('amqplib');
const fastify = require('fastify');

const OPTIONS = { persistent: true, mandatory: true, contentType: 'application/json' };

async function main() {
  const connection = await amqplib.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  const app = fastify({ logger: false });
  // The body is published as it came, so nothing is gained by parsing it.
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/webhooks/contoso/class-changed', (request, reply) => {
    channel.publish('tms.events', 'tms.class.scheduled', request.body, OPTIONS, (error) => {
      reply.code(error ? 503 : 202).send();
    });
  });
  await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
}

main();
