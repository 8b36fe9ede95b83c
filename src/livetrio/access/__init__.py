"""The one question: may this peer publish or play?"""
