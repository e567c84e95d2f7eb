import { once } from 'node:events'
import { type ClientOptions, createWebSocketStream, WebSocket } from 'ws'
import { Client } from './client.js'

/** A WebSocket that is open. @throws Error when the upgrade is refused */
export async function webSocket (port: number, path = '/mqtt', options: ClientOptions = {}, protocols: string[] = ['mqtt']): Promise<WebSocket> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options)
  await once(ws, 'open')
  return ws
}

/** A raw MQTT client over one, on which nothing was said. */
export async function openWebSocket (port: number, version = 4): Promise<Client> {
  const stream = createWebSocketStream(await webSocket(port))
  stream.on('end', () => { stream.end() })
  return Client.over(stream, version)
}
