import { randomUUID } from 'node:crypto'
import type { IConnectPacket } from 'mqtt-packet'
import type { Connections } from '../core/connections.js'
import { Outgoing } from '../core/outgoing.js'
import { Lane } from '../core/publish.js'
import { Session, type SessionWorld } from '../core/session.js'
import type { SignIn } from '../core/sign-in.js'
import type { RetainedWindows } from '../core/windows.js'
import type { Identity, Verdict } from '../domain/identity.js'
import { type DeviceId, isDeviceId, type SessionId, sessionId, type UserId } from '../domain/ids.js'
import { isOurs } from '../domain/topics.js'
import type { Clock } from '../ports/clock.js'
import type { Device, DeviceStore } from '../ports/devices.js'
import type { Directory } from '../ports/directory.js'
import type { Logger } from '../ports/logger.js'
import { type AedesHost, refusal } from './aedes.js'
import { type ReadConnect, readConnect, sessionExpirySeconds } from './connect-packet.js'
import type { Connection } from './connection.js'
import { encode } from './frames.js'
import type { Ordinary } from './ordinary.js'
import type { Pace } from './pace.js'
import type { Registry } from './registry.js'

/** `token-expiring` comes this long before the end. */
const EXPIRY_NOTICE_MS = 60_000
const DAY_MS = 86_400_000
/** Session Expiry Interval of a session that does not end [MQTT-3.1.2.11.2]. */
const FOR_EVER = 0xffffffff
const BAD_AUTHENTICATION_METHOD = 0x8c
const PROTOCOL_ERROR = 0x82

type Connect = Extract<ReadConnect, { kind: 'connect' }>

export interface ConnectorDeps {
  signIn: SignIn
  devices: DeviceStore
  directory: Directory
  registry: Registry
  pace: Pace
  windows: RetainedWindows
  /** After so many days an unused device is forgotten; 0: never. */
  deviceDays: number
  clock: Clock
  logger: Logger
  sessions: SessionWorld
  limits: { readonly connectionsPerUser: number, readonly devicesPerUser: number, readonly sessionExpirySeconds: number, readonly keepAliveMinSeconds: number, readonly keepAliveMaxSeconds: number }
  aedes (): AedesHost
  ordinary: Ordinary
  /** Resolves when the session is connected on no other node any more. */
  claim (session: SessionId, sinceMs: number): Promise<void>
  /** No new connections: the node leaves. */
  draining (): boolean
}

/** From CONNECT to CONNACK: who it is, one connection per session, which device, then Aedes. */
export class Connector implements Connections {
  constructor (private readonly deps: ConnectorDeps) {}

  get (id: SessionId): Connection | undefined { return this.deps.registry.get(id) }
  ofUser (user: UserId): readonly Connection[] { return this.deps.registry.ofUser(user) }

  async remove (user: UserId, device: DeviceId): Promise<void> {
    const id = sessionId(user, device)
    await this.deps.registry.exclusively(id, async () => {
      this.deps.registry.get(id)?.close('broker', 0x87, 'the device was removed')
      await this.deps.registry.left(id)
      await this.forget({ user, device })
    })
  }

  async connect (c: Connection, bytes: Buffer): Promise<void> {
    const read = readConnect(bytes)
    if (read.kind === 'bad') { this.deps.logger.debug({ address: c.origin.address, why: read.why }, 'CONNECT refused'); c.close('broker'); return }
    if (read.kind === 'version') { this.refuse(c, refusal(read.answerIn, 'version')); return }
    const packet = read.packet
    c.version = packet.protocolVersion ?? 4
    const wrong = this.adopt(c, packet)
    if (wrong !== null) { this.refuse(c, wrong); return }
    const device = packet.clientId as DeviceId
    if (this.deps.draining()) { c.close('broker'); return }
    const verdict = await this.deps.signIn.check({ ...c.origin, user: packet.username, password: packet.password, device })
    if (c.phase !== 'connecting') return
    if (verdict.kind !== 'accepted') { this.rejected(c, verdict, device); return }
    const id = sessionId(verdict.identity.user, device)
    if (!this.deps.pace.mayConnect(id)) { this.deps.logger.info({ session: id }, 'connects too often'); c.close('broker'); return }
    await this.deps.registry.exclusively(id, () => this.open(c, read, device, id, verdict.identity))
  }

  /** Checks what the standard asks of a CONNECT, and takes its limits. Not null: the answer that refuses it. */
  private adopt (c: Connection, p: IConnectPacket): Buffer | null {
    const props = p.properties ?? {}
    if (c.version === 5) {
      if (props.authenticationMethod !== undefined) return connack5(BAD_AUTHENTICATION_METHOD) // [MQTT-4.12.0-1]
      if (props.receiveMaximum === 0 || props.maximumPacketSize === 0 || props.authenticationData !== undefined) return connack5(PROTOCOL_ERROR)
      c.clientReceiveMaximum = props.receiveMaximum ?? 65_535
      c.maxPacketBytes = props.maximumPacketSize ?? 0
      c.requestProblemInformation = props.requestProblemInformation !== false
      c.wantsResponseInformation = props.requestResponseInformation === true
      c.topicAliasMaximum = props.topicAliasMaximum ?? 0
    }
    c.askedExpirySeconds = Math.min(sessionExpirySeconds(p), FOR_EVER)
    c.expirySeconds = this.sessionExpiry(c.askedExpirySeconds)
    if (p.clientId === '') {
      if (c.version === 3 || (c.version === 4 && p.clean !== true)) return refusal(c.version, 'client-id') // [MQTT-3.1.3-8]
      p.clientId = randomUUID()
      c.assignedClientId = c.version === 5 ? p.clientId : undefined
    } else if (!isDeviceId(p.clientId)) return refusal(c.version, 'client-id')
    const { keepAliveMinSeconds: min, keepAliveMaxSeconds: max } = this.deps.limits
    const asked = p.keepalive ?? 0
    let granted = asked
    if (c.version === 5 && max !== 0 && (asked === 0 || asked > max)) granted = max
    if (c.version === 5 && granted !== 0 && granted < min) granted = min
    c.serverKeepAlive = granted === asked ? undefined : granted
    c.keepAliveMs = granted * 1000
    return null
  }

  private rejected (c: Connection, v: Exclude<Verdict, { kind: 'accepted' }>, device: DeviceId): void {
    const why = v.kind === 'not-mine' ? 'no provider' : v.why
    this.deps.logger.info({ address: c.origin.address, listener: c.origin.listener, device, why }, v.kind === 'down' ? 'sign-in is not possible now' : 'sign-in refused')
    if (v.kind === 'down') c.close('broker')
    else this.refuse(c, refusal(c.version, v.kind === 'refused' ? v.reason : 'credential'))
  }

  private refuse (c: Connection, answer: Buffer | null): void {
    if (answer !== null && c.fits(answer)) c.send(answer)
    c.close('broker')
  }

  /** Inside the session id's lock: the old connection is closed and over before the new one is there. */
  private async open (c: Connection, { packet, will }: Connect, device: DeviceId, id: SessionId, identity: Identity): Promise<void> {
    const old = this.deps.registry.get(id)
    if (old !== undefined) {
      if (old.session.grants.holds('evt')) old.deliver(Outgoing.json('evt', { type: 'replaced' }), 0, 0, false, old.session.grants.isLong('evt'))
      old.close('takeover', 0x8e, 'a newer connection of the device')
      await this.deps.pace.takeover(id)
    }
    await this.deps.registry.left(id)
    if (c.phase !== 'connecting') return
    c.claimedMs = this.deps.clock.now()
    await this.deps.claim(id, c.claimedMs)
    if (c.phase as string !== 'connecting') return
    const record = await this.device(c, packet, identity, device)
    await this.remember(identity) // before CONNACK: whoever hears that the user is there may write to it
    if (c.phase !== 'connecting') return
    c.identity = identity
    if (packet.clean === true) this.deps.windows.take(id) // the packet ids of a session that is over [MQTT-3.1.2-6]
    c.sessionOrNull = new Session(id, identity.user, device, record, packet.clean === true ? 'now' : 'cursors', c, this.deps.sessions)
    c.lane = new Lane(identity.user, device)
    this.deps.registry.add(id, c)
    c.willIgnored = packet.will !== undefined && isOurs(packet.will.topic)
    await this.deps.ordinary.opened(c, packet, will)
    if (c.phase as string !== 'connecting') return
    const ready = new Promise<void>(resolve => { c.settled = resolve })
    // keep-alive is watched by the connection, and wills are ours
    this.deps.aedes().attach(c, { ...packet, clientId: id, keepalive: 0, will: undefined, username: undefined, password: undefined })
    await ready
    c.settled = null
    this.watchExpiry(c, identity)
    if (identity.anonymous !== true) this.crowded(c)
  }

  /** The device's record; none for a connection whose session ends with it and that has no record yet. */
  private async device (c: Connection, p: IConnectPacket, identity: Identity, device: DeviceId): Promise<Device | null> {
    const { user } = identity
    const now = this.deps.clock.now()
    const expiry = c.expirySeconds
    const found = await this.deps.devices.get(user, device)
    if (found !== undefined && !this.unused(found, now)) {
      c.sessionPresent = p.clean !== true && found.seenMs + found.sessionExpirySeconds * 1000 > now
      const ended = !c.sessionPresent && found.subscriptions.length > 0
      if (ended) found.subscriptions = []
      const seen = now - found.seenMs > DAY_MS
      if (seen) found.seenMs = now
      found.sessionExpirySeconds = expiry
      found.active = true
      if (ended || seen) await this.deps.devices.put(found)
      return found
    }
    if (found !== undefined) await this.forget(found)
    if (p.clean === true && expiry === 0) return null
    const record: Device = {
      user, device, subscriptions: [], ack: 'puback', maxPacketBytes: 0, active: true, sessionExpirySeconds: expiry, placed: false, createdMs: now, seenMs: now
    }
    if (identity.anonymous !== true) await this.makeRoom(user, now)
    await this.deps.devices.put(record)
    return record
  }

  /** How long a session outlives its connection, seconds: what was asked for, within the limit. */
  sessionExpiry (askedSeconds: number): number { return Math.min(askedSeconds, this.deps.limits.sessionExpirySeconds || FOR_EVER) }

  private unused (d: Device, now: number): boolean { return this.deps.deviceDays > 0 && now - d.seenMs > this.deps.deviceDays * DAY_MS }

  private async forget (d: Pick<Device, 'user' | 'device'>): Promise<void> {
    const id = sessionId(d.user, d.device)
    this.deps.windows.take(id)
    await this.deps.ordinary.forget(id)
    await this.deps.devices.remove(d.user, d.device)
  }

  /** Forgets devices that nobody uses any more, and over `limits.devicesPerUser` the longest unused one. */
  private async makeRoom (user: UserId, now: number): Promise<void> {
    const most = this.deps.limits.devicesPerUser
    const all = (await this.deps.devices.list(user)).sort((a, b) => a.seenMs - b.seenMs)
    let over = most === 0 ? 0 : all.length + 1 - most
    for (const d of all) {
      if (over <= 0 && !this.unused(d, now)) return
      if (this.deps.registry.get(sessionId(user, d.device)) !== undefined) continue
      await this.forget(d)
      over--
    }
  }

  /** Never rejects. */
  private async remember ({ user, anonymous }: Identity): Promise<void> {
    if (anonymous === true) return
    try { if (!(await this.deps.directory.knows(user))) await this.deps.directory.remember(user) } catch (err) {
      this.deps.logger.warn({ err, user }, 'a user could not be remembered')
    }
  }

  /** Over `limits.connectionsPerUser` the user's longest silent connection is closed. */
  private crowded (c: Connection): void {
    const most = this.deps.limits.connectionsPerUser
    const all = this.deps.registry.ofUser(c.session.user)
    if (most === 0 || all.length <= most) return
    all.filter(o => o !== c).sort((a, b) => a.heardMs - b.heardMs)[0]?.close('broker', 0x97, 'too many connections of the user')
  }

  /** The credential is checked once more, for `auth.refresh`. */
  async again (c: Connection, token: string): Promise<Verdict> {
    const { address, listener } = c.origin // without the certificate: the token is what is asked about
    return await this.deps.signIn.check({ user: c.session.user, password: Buffer.from(token), device: c.session.device, address, listener })
  }

  /** Closes the connection when the credential ends, and says so before. */
  watchExpiry (c: Connection, identity: Identity): void {
    for (const t of c.expiry) t.cancel()
    c.expiry = []
    c.identity = identity
    if (identity.expiresMs === 0 || c.phase === 'closed') return
    const left = identity.expiresMs - this.deps.clock.now()
    if (left > EXPIRY_NOTICE_MS) c.expiry.push(this.deps.clock.after(left - EXPIRY_NOTICE_MS, () => c.session.extras.event(Outgoing.json('evt', { type: 'token-expiring', expires: identity.expiresMs }))))
    c.expiry.push(this.deps.clock.after(left, () => c.close('expired', 0x87, 'the credential has ended')))
  }
}

const connack5 = (reasonCode: number): Buffer => encode({ cmd: 'connack', sessionPresent: false, reasonCode }, 5)
