# Status-Page's configuration. Everything else has Status-Page's own default.
ALLOWED_HOSTS = ["status.example.com"]
SITE_URL = "https://status.example.com"
SECRET_KEY = {{ django.secret_key | python }}

DATABASE = {
    "NAME": {{ database.dbname | python }},
    "USER": {{ database.username | python }},
    "PASSWORD": {{ database.password | python }},
    "HOST": {{ database.host | python }},
    "PORT": {{ database.port | python }},
    "CONN_MAX_AGE": 300,
    # The service of the test environment has no TLS.
    "OPTIONS": {"sslmode": {% if database.host == "database" %}"disable"{% else %}"require"{% endif %}},
}

REDIS = {
{%- for name, number in [["tasks", 0], ["caching", 1]] %}
    "{{ name }}": {
        "HOST": {{ redis.host | python }},
        "PORT": 6379,
        "PASSWORD": {{ redis.value | python }},
        "DATABASE": {{ number }},
        "SSL": {% if redis.host == "cache" %}False{% else %}True{% endif %},
    },
{%- endfor %}
}

RQ_DEFAULT_TIMEOUT = 300
