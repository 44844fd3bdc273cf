"""Kinds of events become choices; trials know by a column that the time cut them off.

Additive, so that processes of the last release run on beside this schema: the new column has a
default in the database. Rows of before are told by the sentence that they were given.
"""

from django.db import migrations, models

TIME_UP = 'maxExecSeconds of active time have passed.'


def mark_cut_off(apps, schema_editor):
    Trial = apps.get_model('experiments', 'Trial')
    Trial.objects.filter(stop_as='CANCELED', stop_reason=TIME_UP).update(cut_off=True)


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', '0007_clock_sleep'),
    ]

    operations = [
        migrations.AddField(
            model_name='trial',
            name='cut_off',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunPython(mark_cut_off, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='event',
            name='what',
            field=models.CharField(
                choices=[
                    ('created', 'created'), ('phase', 'phase'), ('state', 'state'),
                    ('stopping', 'stopping'), ('limits', 'limits'), ('details', 'details'),
                    ('suspended', 'suspended'), ('resumed', 'resumed'), ('finish', 'finish'),
                    ('exhausted', 'exhausted'), ('retried', 'retried'), ('excluded', 'excluded'),
                    ('restored', 'restored'), ('remark', 'remark'),
                    ('not judged', 'not judged'), ('bad report', 'bad report'),
                    ('late final', 'late final'), ('trouble', 'trouble'),
                    ('well again', 'well again'), ('slept', 'slept'), ('upload failed', 'upload failed'),
                    ('upload well again', 'upload well again'), ('uploaded', 'uploaded'),
                ],
                max_length=20,
            ),
        ),
    ]
