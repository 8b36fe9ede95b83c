"""Rooms as state: seats, roles, actions, PK, who speaks and which seat is in which slot.

seat, queue, state      what a room consists of
actions, permissions    what may be asked of it, and by whom
sitting, moderating     what each action does
events, replay, pace    versions, repeated commands, hasty ones
room                    all of that behind `apply`, pure: time is an argument
speaking, loudest, slots  from audio levels and seats to what each viewer is sent
pk, battles             two rooms against each other
live_room, room_service the shell: timers, telling, life and death
"""
