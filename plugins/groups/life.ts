import { randomBytes } from 'node:crypto'
import { defineOperation, type Group, type GroupId, groupId, groupKey, type MemberChange, type Operation, ParleyError, Type } from '../../broker/plugin.js'
import type { Groups } from './scene.js'
import { allMembers } from './succession.js'
import { changed, checkSettings, distinct, groupParam, groupResult, MAX_IDS, named, settings, shown, userParam } from './shapes.js'

/** 72 random bits, in letters that every topic takes. */
const newId = (): GroupId => randomBytes(9).toString('base64url') as GroupId

export const createGroup = ({ host, lanes }: Groups): Operation => defineOperation({
  name: 'group.create',
  summary: 'Makes a group; the caller owns it. Without `group` it gets an id of its own; an id in use is a `conflict`, a deleted group\'s too.',
  params: Type.Object({
    group: Type.Optional(groupParam),
    ...settings,
    members: Type.Optional(Type.Array(userParam, { maxItems: MAX_IDS }))
  }),
  result: groupResult,
  who: 'user',
  async handle (call, p) {
    const id = p.group === undefined ? newId() : groupId(p.group)
    checkSettings(p)
    const others = distinct(p.members ?? [], 'members').filter(u => u !== call.user)
    const max = host.limits.groupMembers
    if (max !== 0 && others.length + 1 > max) throw new ParleyError('too-large', `a group has at most ${max} members`)
    const group: Group = {
      group: id,
      kind: p.kind ?? 'private',
      title: p.title ?? '',
      avatar: p.avatar ?? '',
      custom: p.custom ?? null,
      historyVisible: p.historyVisible ?? false,
      createdMs: host.clock.now(),
      deleted: false
    }
    const members: MemberChange[] = [{ user: call.user, role: 'owner' }, ...others.map(user => ({ user, role: 'member' as const }))]
    const body = { event: 'created', kind: group.kind, ...(group.title === '' ? {} : { title: group.title }), ...(others.length === 0 ? {} : named(others)) }
    await lanes.run(id, async () => await host.post({ conv: groupKey(id), from: call.user, body, effects: { group, create: true, members } }))
    return shown(group, members.length, 'owner')
  }
})

export const getGroup = (groups: Groups): Operation => defineOperation({
  name: 'group.get',
  summary: 'A group: a private one for its members, others for everybody.',
  params: Type.Object({ group: groupParam }),
  result: groupResult,
  read: true,
  who: 'user',
  async handle (call, p) {
    const scene = await groups.scene(call, p.group)
    if (scene.group.kind === 'private') scene.mustBelong()
    return await scene.show()
  }
})

export const updateGroup = (groups: Groups): Operation => defineOperation({
  name: 'group.update',
  summary: 'Changes what is given and keeps the rest. Owners and admins. Idempotent: without a difference there is no entry.',
  params: Type.Object({ group: groupParam, ...settings }),
  result: groupResult,
  who: 'user',
  async handle (call, p) {
    return await groups.change(call, p.group, async scene => {
      scene.mustManage()
      checkSettings(p)
      const news = changed(scene.group, p)
      if (Object.keys(news).length === 0) return await scene.show()
      const group: Group = { ...scene.group, ...news }
      await scene.post({ event: 'updated', ...news }, { group })
      return await scene.show(group)
    })
  }
})

export const deleteGroup = (groups: Groups): Operation => defineOperation({
  name: 'group.delete',
  summary: 'Ends a group: all are removed by its last entry, what was written stays readable up to it, the id is never given again. Owners.',
  params: Type.Object({ group: groupParam }),
  result: Type.Object({}),
  who: 'user',
  async handle (call, p) {
    return await groups.change(call, p.group, async scene => {
      scene.mustOwn()
      const members: MemberChange[] = []
      for await (const m of allMembers(groups.host.directory, scene.group.group)) members.push({ user: m.user, role: null })
      await scene.post({ event: 'deleted' }, { group: { ...scene.group, deleted: true }, members })
      return {}
    })
  }
})
