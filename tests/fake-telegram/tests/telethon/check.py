"""Telethon, which nobody here wrote, against the loopback Telegram.

Reads the first line of `fake-telegram serve` from the command line's first argument, drives the
server through its control port, and prints a line for each thing that works. Any assertion that
fails ends it with an error.
"""

import asyncio
import json
import sys
import tempfile

import rsa
from telethon import TelegramClient, errors, events
from telethon.crypto import AuthKey
from telethon.crypto import rsa as telethon_rsa
from telethon.sessions import MemorySession
from telethon.tl import functions, types

FRIEND, GROUP, SUPERGROUP, BROADCAST = 2000, -400, -1000000000500, -1000000000600
DEADLINE = 30


class Control:
    """The server's control port."""

    @classmethod
    async def connect(cls, address):
        host, port = address.rsplit(":", 1)
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        return self

    async def __call__(self, do, **fields):
        self.writer.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        reply = json.loads(await self.reader.readline())
        assert reply["ok"], reply
        return reply


class PreparedSession(MemorySession):
    """A session that holds the keys of all datacentres beforehand.

    Telethon asks the server where the others are, and would then exchange keys with them;
    `prepare` makes it take the known ones instead.
    """

    def __init__(self, ready):
        super().__init__()
        self.dcs = {dc["id"]: dc for dc in ready["dcs"]}
        self.go_to(ready["home_dc"])

    def go_to(self, dc_id):
        host, port = self.dcs[dc_id]["ipv4"].rsplit(":", 1)
        self.set_dc(dc_id, host, int(port))
        self.auth_key = self.key(dc_id)

    def key(self, dc_id):
        return AuthKey(bytes.fromhex(self.dcs[dc_id]["auth_key"]))


def client(ready):
    made = TelegramClient(PreparedSession(ready), 12345, "hash", receive_updates=True, catch_up=True)
    keep_known_keys(made)
    return made


def keep_known_keys(made):
    """Gives senders to other datacentres the known key; they are made without any."""
    import telethon.client.telegrambaseclient as base

    class Sender(base.MTProtoSender):
        def __init__(self, auth_key, **options):
            super().__init__(auth_key, **options)
            self.wants_key = auth_key is None

        async def connect(self, connection):
            if self.wants_key:
                self.auth_key.key = made.session.key(connection._dc_id).key
            return await super().connect(connection)

    base.MTProtoSender = Sender


async def within(awaitable):
    return await asyncio.wait_for(awaitable, DEADLINE)


async def as_owner(ready, control):
    async with client(ready) as owner:
        me = await owner.get_me()
        assert (me.id, me.first_name) == (1000, "Owner"), me
        print("get_me")

        arrived = asyncio.Queue()
        owner.add_event_handler(arrived.put, events.NewMessage(incoming=True))
        await owner(functions.updates.GetStateRequest())

        with tempfile.NamedTemporaryFile(suffix=".ogg") as file:
            content = bytes(i * 31 >> 3 & 255 for i in range(700_000))
            file.write(content)
            file.flush()
            for dc in 2, 4:
                sent = await control("voice", chat=FRIEND, file=file.name, seconds=7, dc=dc)
                event = await within(arrived.get())
                assert event.message.id == sent["message"] and event.message.voice, event
                assert event.message.file.duration == 7 and event.message.file.size == len(content)
                assert await within(event.message.download_media(bytes)) == content
                print(f"a pushed voice message, downloaded from datacentre {dc}")

        await event.message.reply("its *words*", silent=True, parse_mode="md")
        seen = await control("wait_for_reply", chat=FRIEND, message=event.message.id, seconds=DEADLINE)
        assert seen["post"]["text"] == "its *words*" and seen["post"]["silent"], seen
        edited = await owner.edit_message(FRIEND, seen["post"]["id"], "other words")
        assert edited.text == "other words"
        print("a reply, edited")

        for chat in GROUP, SUPERGROUP:
            await control("text", chat=chat, text="hi all")
            event = await within(arrived.get())
            assert event.chat_id == chat and event.sender_id == FRIEND, event
            await event.reply("hello")
            seen = await control("wait_for_reply", chat=chat, message=event.message.id, seconds=DEADLINE)
            assert seen["post"]["text"] == "hello"
        print("a basic group and a supergroup")

        for chat in FRIEND, SUPERGROUP:
            passing = await owner.send_message(chat, "soon gone")
            [deleted] = await owner.delete_messages(chat, [passing.id])
            assert deleted.pts_count == 1, deleted
            assert await owner.get_messages(chat, ids=passing.id) is None
        print("messages, deleted")

        for name in SUPERGROUP, BROADCAST:
            await control("text", chat=SUPERGROUP, text="hidden", sent_as=name)
            event = await within(arrived.get())
            # Nothing says who an anonymous administrator is.
            assert event.sender_id == (None if name == SUPERGROUP else name), event
        print("an anonymous administrator, and a channel that writes in a group")

        # In private chats and basic groups a reaction is an edit, in supergroups an update of its own.
        reactions = asyncio.Queue()
        owner.add_event_handler(reactions.put, events.Raw((
            types.UpdateEditMessage, types.UpdateEditChannelMessage, types.UpdateMessageReactions,
        )))
        for chat in FRIEND, GROUP, SUPERGROUP:
            sent = await control("text", chat=chat, text="react to this")
            await within(arrived.get())
            await control("react", chat=chat, message=sent["message"], user=1000, emoji="👀")
            update = await within(reactions.get())
            is_edit = isinstance(update, types.UpdateEditMessage)
            assert is_edit == (chat != SUPERGROUP), update
            told = update.message.reactions if is_edit else update.reactions
            [recent], [counted] = told.recent_reactions, told.results
            assert (recent.my, recent.reaction.emoticon, counted.count) == (True, "👀", 1), told
            await owner(functions.messages.SendReactionRequest(
                chat, sent["message"], reaction=[types.ReactionEmoji("👍")]))
            [reacted] = await owner.get_messages(chat, ids=[sent["message"]])
            assert [result.reaction.emoticon for result in reacted.reactions.results] == ["👍"], reacted
        print("reactions of another device, and of one's own")

        own = await control("voice", chat=FRIEND, file=__file__, seconds=3, own=True)
        captioned = await owner.edit_message(FRIEND, own["message"], "a caption")
        assert captioned.voice and captioned.text == "a caption", captioned
        try:
            await owner.edit_message(FRIEND, own["message"], "a caption")
            raise AssertionError("an edit that changes nothing was accepted")
        except errors.MessageNotModifiedError:
            pass
        saved = await owner.send_message("me", "[a link](tg://openmessage?user_id=2000&message_id=1)")
        assert saved.entities[0].url == "tg://openmessage?user_id=2000&message_id=1", saved
        print("a caption, and a link in Saved Messages")

        await control("limit", chat=SUPERGROUP, slow_mode=3600)
        try:
            await owner.send_message(SUPERGROUP, "too soon")
            raise AssertionError("no slow mode")
        except errors.SlowModeWaitError as error:
            assert 3000 < error.seconds <= 3600, error
        await control("limit", chat=SUPERGROUP)
        await control("limit", chat=GROUP, no_writing=True)
        try:
            await owner.send_message(GROUP, "forbidden")
            raise AssertionError("it may write")
        except errors.ChatWriteForbiddenError:
            pass
        await control("limit", chat=GROUP)
        print("slow mode, and no right to write")

        for chat in FRIEND, SUPERGROUP:
            await control("text", chat=chat, text="told to nobody", silently=True)
        await owner.catch_up()
        missed = [await within(arrived.get()) for _ in range(2)]
        assert {event.chat_id for event in missed} == {FRIEND, SUPERGROUP}, missed
        print("what was missed, by getDifference and getChannelDifference")

        dialogs = await owner.get_dialogs()
        assert {FRIEND, GROUP, SUPERGROUP} <= {dialog.id for dialog in dialogs}, dialogs
        history = await owner.get_messages(FRIEND, limit=2)
        assert [message.text for message in history] == ["told to nobody", "a caption"], history
        content = b"a transcript " * 50_000
        upload = await owner.send_file(
            FRIEND, content, force_document=True, caption="its beginning", reply_to=history[0].id,
            attributes=[types.DocumentAttributeFilename("transcript.txt")],
        )
        assert (upload.file.name, upload.file.size) == ("transcript.txt", len(content)), upload
        assert (upload.text, upload.reply_to_msg_id) == ("its beginning", history[0].id), upload
        assert await upload.download_media(bytes) == content
        await control("limit", chat=GROUP, no_files=True)
        try:
            await owner.send_file(GROUP, b"a transcript", force_document=True)
            raise AssertionError("it may send files")
        except errors.ForbiddenError as error:
            assert "CHAT_SEND_DOCS_FORBIDDEN" in str(error) or "document" in str(error).lower(), error
        await control("limit", chat=GROUP)
        print("dialogs, history, an upload")

        await control("fault", fault={
            "method": "users.getUsers", "times": 1, "action": {"error": {"code": 420, "text": "FLOOD_WAIT_3"}},
        })
        owner.flood_sleep_threshold = 0
        try:
            await owner.get_me()
            raise AssertionError("no FLOOD_WAIT")
        except errors.FloodWaitError as error:
            assert error.seconds == 3
        print("FLOOD_WAIT")


async def log_in(newcomer):
    await newcomer.connect()
    assert not await newcomer.is_user_authorized()
    await newcomer.send_code_request("+10000000000")
    try:
        await newcomer.sign_in("+10000000000", "12345")
        raise AssertionError("no password was wanted")
    except errors.SessionPasswordNeededError:
        pass
    try:
        await newcomer.sign_in(password="wrong")
        raise AssertionError("a wrong password was taken")
    except errors.PasswordHashInvalidError:
        pass
    me = await newcomer.sign_in(password="hunter2")
    assert me.id == 1000 and await newcomer.is_user_authorized()


async def log_in_with_known_keys(ready):
    newcomer = client(ready)
    await log_in(newcomer)
    await newcomer.disconnect()
    print("login with code and password")


async def log_in_with_exchanged_keys(ready, control):
    key = rsa.PublicKey(int(ready["rsa_modulus"]), 65537)
    telethon_rsa.add_key(key.save_pkcs1(), old=False)
    # The first try meets an answer that is not right, the second one a key that is there already.
    for method, action in ("req_DH_params", "corrupt"), ("set_client_DH_params", "again"):
        await control("fault", fault={"method": method, "times": 1, "action": action})
    session = MemorySession()
    host, port = ready["dcs"][0]["ipv4"].rsplit(":", 1)
    session.set_dc(ready["dcs"][0]["id"], host, int(port))
    newcomer = TelegramClient(session, 12345, "hash", connection_retries=3)
    await log_in(newcomer)
    assert session.auth_key.key.hex() != ready["dcs"][0]["auth_key"]
    print("login with a key that was exchanged at the third try")

    await control("voice", chat=FRIEND, file=__file__, seconds=7, dc=4)
    await newcomer.get_dialogs()
    [message] = await newcomer.get_messages(FRIEND, limit=1)
    with open(__file__, "rb") as file:
        assert await within(message.download_media(bytes)) == file.read()
    await newcomer.disconnect()
    # Telethon keeps the addresses of this server for all its clients.
    TelegramClient._config = None
    print("a file from another datacentre, with another such key")


async def main(logged_in, logged_out):
    # Before anything is done to Telethon's senders.
    control = await Control.connect(logged_out["control"])
    await log_in_with_exchanged_keys(logged_out, control)
    await as_owner(logged_in, await Control.connect(logged_in["control"]))
    await log_in_with_known_keys(logged_out)
    print("all is well")


asyncio.run(main(*map(json.loads, sys.argv[1:3])))
